// What only some readers want: open where there is room, closed on a phone, so that a page begins with what matters.

if (matchMedia("(max-width: 620px)").matches) {
  for (const one of document.querySelectorAll("details.fold[open]")) one.open = false;
}
