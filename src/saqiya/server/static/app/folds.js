// What only some readers want: open where there is room, closed on a phone, so that a page begins with what matters.

const phone = matchMedia("(max-width: 620px)");

function fold() {
  for (const one of document.querySelectorAll("details.fold")) one.open = !phone.matches;
}

fold();
phone.addEventListener("change", fold);
