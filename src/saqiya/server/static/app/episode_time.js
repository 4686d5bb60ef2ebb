// Moments of an episode: plain functions, no page. All moments are whole nanoseconds since the episode's beginning.

/** The place of the last stamp that is not after `t`; -1 before the first. */
export function latest(stamps, t) {
  let low = 0, high = stamps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stamps[middle] <= t) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** Read a moment through knots [[a, b], ...]: straight lines between them, and beyond the ends as between the last two. */
export function through(knots, t) {
  let at = 1;
  while (at < knots.length - 1 && knots[at][0] < t) at += 1;
  const [[a0, b0], [a1, b1]] = [knots[at - 1], knots[at]];
  return a1 === a0 ? b0 : b0 + (t - a0) * ((b1 - b0) / (a1 - a0));
}

/** The same knots the other way round. */
export const turned = (knots) => knots.map(([a, b]) => [b, a]);

/** "12.345", or "1:02:03.450" from an hour on. */
export function clock(t, digits = 3) {
  const s = t / 1e9, hours = Math.floor(s / 3600), minutes = Math.floor(s / 60) % 60;
  const rest = (s % 60).toFixed(digits).padStart(digits + 3, "0");
  if (hours) return `${hours}:${String(minutes).padStart(2, "0")}:${rest}`;
  return s >= 60 ? `${minutes}:${rest}` : s.toFixed(digits);
}

/** Run `act` once things have been quiet for so long. */
export function later(act, ms) {
  let timer = 0;
  return (...all) => { clearTimeout(timer); timer = setTimeout(() => act(...all), ms); };
}

/** Ask the interface; throw its own sentences when it refuses. */
export async function ask(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error ? `${told.error.what}. ${told.error.remedy}` : `the server answered ${answer.status}`);
}
