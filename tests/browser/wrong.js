// What a look at a picture would miss: run in a page, it returns sentences about what is wrong with the layout.
() => {
  const found = [];
  const wide = document.documentElement.clientWidth;
  const whole = document.documentElement.scrollWidth;
  if (whole > wide + 1) found.push(`scrolls sideways: ${whole} px`);
  const apart = "svg, .unseen, .list, .keybar, dialog, [hidden], details:not([open])";
  for (const one of document.querySelectorAll("main *, header *")) {
    if (one.closest(apart) || !one.checkVisibility()) continue;
    const box = one.getBoundingClientRect();
    if (box.width && (box.right > wide + 1 || box.left < -1)) {
      found.push(`outside: ${one.tagName}.${one.className} from ${box.left | 0} to ${box.right | 0}`);
    }
  }
  const controls = [...document.querySelectorAll("button, a.button, input, select, textarea")].filter(
    (one) => one.checkVisibility() && !one.closest("dialog:not([open]), .unseen, .top, details:not([open])"),
  );
  const name = (one) => one.textContent.trim().slice(0, 30) || one.name;
  for (const [at, one] of controls.entries()) {
    const box = one.getBoundingClientRect();
    for (const other of controls.slice(at + 1)) {
      if (one.contains(other) || other.contains(one)) continue;
      const near = other.getBoundingClientRect();
      const across = Math.min(box.right, near.right) - Math.max(box.left, near.left);
      const down = Math.min(box.bottom, near.bottom) - Math.max(box.top, near.top);
      if (across > 2 && down > 2) found.push(`overlap: ${name(one)} and ${name(other)}`);
    }
  }
  return [...new Set(found)].slice(0, 8);
}
