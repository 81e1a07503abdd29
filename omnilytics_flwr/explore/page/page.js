"use strict";
// Draws the document in #data, and follows it live where a server keeps it up to date. Everything goes in as text, never as markup.

const PERIOD_MS = 2000, FIRST_ROUNDS = 40;
const KINDS = ["accepted", "unpaid", "waived", "void"];
let shown = JSON.parse(document.getElementById("data").textContent);
let ahead = shown.now ? shown.now * 1000 - Date.now() : 0; // of the chain's clock before this one's
let sort = { by: "seat", down: false }, allRounds = false;
const open = new Set();

/** An element with attributes, and children that are elements or text. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(2).filter(child => child !== null));
  return made;
}

function plural(count, noun) { return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`; }
function short(address) { return el("span", { class: "mono", title: address }, `${address.slice(0, 8)}…${address.slice(-4)}`); }

/** An amount of smallest units, exact. */
function amount(units, currency = shown.currency) {
  const text = BigInt(units).toString().padStart(currency.decimals + 1, "0"), cut = text.length - currency.decimals;
  const whole = BigInt(text.slice(0, cut)).toLocaleString("en"), rest = text.slice(cut).replace(/0+$/, "");
  if (currency.symbol === "ether" && whole === "0" && BigInt(units) > 0n && BigInt(units) < 10n ** 12n) return `${BigInt(units).toLocaleString("en")} wei`;
  return `${whole}${rest ? "." + rest : ""} ${currency.symbol}`;
}
const ETHER = { symbol: "ether", decimals: 18 };

/** An amount that is not counted to the last digit: four decimals that matter. */
function about(units, currency) {
  const [number, symbol] = amount(units, currency).split(" "), [whole, rest = ""] = number.split(".");
  const first = rest.search(/[1-9]/);
  const kept = whole === "0" ? rest.slice(0, Math.max(first + 4, 4)) : rest.slice(0, 4);
  return `${whole}${kept.replace(/0+$/, "") ? "." + kept.replace(/0+$/, "") : ""} ${symbol}`;
}

function span(seconds) {
  const parts = [];
  for (const [length, name] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    if (count || (name === "s" && !parts.length)) parts.push(`${count} ${name}`);
  }
  return parts.slice(0, 2).join(" ");
}

function when(seconds) {
  if (!seconds) return "never";
  const at = new Date(seconds * 1000);
  return el("time", { datetime: at.toISOString() }, at.toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }));
}

/** A sentence whose parts in backquotes are commands. */
function words(text) { return text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part)); }

function market() {
  const epoch = shown.epochs.find(one => one.number === shown.epoch);
  return [
    el("h1", {}, `${shown.sentence}.`),
    el("p", { class: "next" }, ...(shown.nextStep ? ["Next: ", ...words(shown.nextStep), ". "] : []), countdown()),
    el("p", { class: "faint mono" }, `${shown.market}, chain ${shown.chain}, block ${shown.block.toLocaleString("en")}`),
    ownSeat(epoch),
    figures(),
    ...accuracy(),
    el("h2", {}, "Rounds"), ...rounds(),
    el("h2", {}, epoch ? `Groups of epoch ${epoch.number}` : "Groups"), groups(epoch),
    el("h2", {}, "Data owners"), owners(epoch),
    el("h2", {}, "Terms"), el("dl", { class: "terms card" }, ...shown.terms.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
  ];
}

function countdown() { return shown.deadline ? el("time", { "data-deadline": shown.deadline, datetime: new Date(shown.deadline * 1000).toISOString() }) : ""; }

function tick() {
  for (const clock of document.querySelectorAll("[data-deadline]")) {
    const left = Math.floor(clock.dataset.deadline - (Date.now() + ahead) / 1000);
    clock.textContent = shown.live === undefined ? "" : left >= 0 ? `(${span(left)} left)` : `(${span(-left)} over)`;
  }
}

function ownSeat(epoch) {
  if (!shown.own) return null;
  const mine = shown.owners.find(one => one.address === shown.own);
  if (shown.own === shown.modelOwner) return el("p", { class: "own" }, "Your wallet is the model owner's.");
  if (!mine) return el("p", { class: "own" }, "Your wallet has never joined this market.");
  const group = epoch ? epoch.groups.findIndex(seats => seats.includes(mine.seat)) : -1;
  const place = group >= 0 ? `in group ${group} of epoch ${epoch.number}` : "in no group now";
  return el("p", { class: "own" }, `Your seat is ${mine.seat}, ${place}. You have earned ${amount(mine.earned)} in ${plural(mine.paidRounds, "round")}, of which ${amount(mine.paid)} ${mine.departedAt ? "(with the stake) " : ""}was paid out.`);
}

function figures() {
  const over = shown.rounds.filter(one => one.outcome === "settled" || one.outcome === "timed out");
  const earned = shown.owners.reduce((sum, one) => sum + BigInt(one.earned), 0n);
  const seats = shown.owners.filter(one => !one.departedAt).length;
  const rows = [
    ["Data owners", `${seats} of ${shown.mostOwners}`], ["Rounds paid", `${over.length}`], ["Earned so far", about(earned)],
    ["Escrow", about(shown.books.escrow)], ["Bond", about(shown.books.bond)], ["Unclaimed", about(shown.books.owed)], ["Stakes", about(shown.books.stakes)],
    ["Fees of all transactions", about(shown.fees, ETHER)],
  ];
  return el("dl", { class: "figures card" }, ...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** Percentages from before the first round on, as the model owner measured them: in its own file only, for a chain has none. */
function accuracy() {
  if (!shown.accuracy) return [];
  const percent = shown.accuracy.map(one => `${one.toFixed(1)} %`), last = percent.length - 1;
  const low = Math.min(...shown.accuracy), high = Math.max(...shown.accuracy), height = 120, width = 600;
  const x = i => 8 + (width - 16) * i / Math.max(last, 1), y = value => 12 + (height - 24) * (high - value) / (high - low || 1);
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const line = svg("polyline", { points: shown.accuracy.map((value, i) => `${x(i)},${y(value)}`).join(" ") });
  const points = shown.accuracy.map((value, i) => svg("path", { d: `M${x(i)},${y(value)}h0` }, svg("title", {}, `${i ? `after round ${i}` : "before the first round"}: ${percent[i]}`)));
  return [el("h2", {}, "Accuracy"), el("div", { class: "card" },
    el("p", {}, `From ${percent[0]} to ${percent[last]} in ${plural(last, "round")}. `, el("span", { class: "faint" }, "The model owner has measured this; it is not on the chain.")),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Accuracy by round: ${percent.join(", ")}` }, line, ...points))];
}

function kindOf(round, group) { return KINDS.slice(1).find(kind => round[kind].includes(group)) || (round.outcome === "settled" ? "accepted" : "open"); }

function rounds() {
  if (!shown.rounds.length) return [el("p", { class: "faint" }, "There has been none.")];
  const latest = [...shown.rounds].reverse(), some = allRounds ? latest : latest.slice(0, FIRST_ROUNDS);
  const list = el("ul", { class: "rounds card" }, ...some.map(round => el("li", {}, roundEntry(round))));
  const more = latest.length > some.length;
  return [list, more ? el("button", { class: "more", id: "more", type: "button", onclick: () => { allRounds = true; draw(); } }, `Show all ${latest.length} rounds`) : null];
}

function roundEntry(round) {
  const counts = KINDS.map(kind => [kind, round.roster.filter(group => kindOf(round, group) === kind).length]).filter(([, count]) => count);
  const what = round.outcome === "settled"
    ? counts.flatMap(([kind, count], i) => [i ? ", " : "", el("span", { class: kind }, `${count} ${kind}`)])
    : [round.outcome + (round.roster.length ? `, ${plural(round.roster.length, "group")}` : "")];
  const accused = round.incidents.filter(one => one.answered === null).reduce((sum, one) => sum + one.seats.length, 0);
  if (accused) what.push(`; ${accused} accused`);
  const pay = round.paidSeats.length ? `${round.paidSeats.length} × ${about(round.paidEach)}` : "";
  const details = el("details", { id: `round-${round.number}`, open: open.has(round.number) },
    el("summary", {}, el("b", {}, `Round ${round.number}`), el("span", { class: "what" }, ...what), el("span", { class: "pay" }, pay), strip(round)));
  const fill = () => { if (details.children.length < 2) details.append(roundInside(round)); };
  if (details.open) fill();
  details.addEventListener("toggle", () => { if (details.open) { open.add(round.number); fill(); } else open.delete(round.number); });
  return details;
}

/** A bar with a piece for each group, in its kind's colour; what it says is in the words beside it. */
function strip(round) {
  const piece = 100 / Math.max(round.roster.length, 1);
  const colours = round.roster.map((group, i) => `var(--${{ accepted: "good", open: "line" }[kindOf(round, group)] || kindOf(round, group)}) ${i * piece}% ${(i + 1) * piece}%`);
  const bar = el("span", { class: "strip", "aria-hidden": "true" });
  if (colours.length) bar.style.background = `linear-gradient(90deg, ${colours.join(", ")})`;
  return bar;
}

function roundInside(round) {
  const epoch = shown.epochs.find(one => one.number === round.epoch), paid = new Set(round.paidSeats), slashed = new Set(round.slashedSeats);
  const seats = group => (epoch && epoch.groups[group] || []).map(seat => `${seat}${round.outcome === "settled" || round.outcome === "timed out" ? (paid.has(seat) ? "" : slashed.has(seat) ? " (lost its stake)" : " (unpaid)") : ""}`).join(", ");
  const gas = Object.values(round.gas).reduce((sum, one) => sum + one, 0);
  const facts = [
    ["Task anchored", when(round.anchoredAt)], round.openedAt ? ["Opened", when(round.openedAt)] : null, round.endedAt ? ["Ended", when(round.endedAt)] : null,
    ["Gas", `${gas.toLocaleString("en")}, fees ${about(round.fees, ETHER)}`], BigInt(round.burned) ? ["Burned", amount(round.burned)] : null,
  ].filter(fact => fact);
  const inside = el("div", { class: "inside" }, el("dl", { class: "terms" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])), el("p", { class: "faint mono" }, `Task ${round.task}`));
  if (round.roster.length) inside.append(el("ul", {}, ...round.roster.map(group => {
    const kind = kindOf(round, group);
    return el("li", {}, `Group ${group}`, kind === "open" ? "" : [" ", el("span", { class: kind }, kind)], `: seats ${seats(group)}`);
  })));
  if (round.incidents.length) inside.append(el("h3", {}, "Accusations and answers"), el("ul", {}, ...round.incidents.map(one => el("li", {}, when(one.at), one.answered === null
    ? `: seat${one.seats.length > 1 ? "s" : ""} ${one.seats.join(", ")} accused of not having delivered`
    : `: seat ${one.seats[0]} has answered ${one.answered} of ${plural(shown.polynomials, "polynomial")}`))));
  return inside;
}

function groups(epoch) {
  if (!epoch || !epoch.groups.length) return el("p", { class: "faint" }, epoch ? `They are drawn by the randomness of block ${epoch.drawBlock.toLocaleString("en")}.` : "None has been drawn yet.");
  const owner = new Map(epoch.members);
  return el("ul", { class: "groups" }, ...epoch.groups.map((seats, group) => el("li", { class: "card" }, el("b", {}, `Group ${group}`), el("ol", {}, ...seats.map(seat => {
    const address = owner.has(seat) ? shown.owners[owner.get(seat)].address : "", mine = address && address === shown.own;
    return el("li", { class: mine ? "own" : null }, el("span", { class: "seat" }, seat), address ? short(address) : "", mine ? " you" : "");
  })))));
}

const COLUMNS = [
  ["seat", "Seat", one => one.seat], ["address", "Data owner", one => one.address], ["paidRounds", "Rounds paid", one => one.paidRounds],
  ["unpaid", "Unpaid", one => one.rounds - one.paidRounds], ["earned", "Earned", one => BigInt(one.earned)], ["paid", "Paid out", one => BigInt(one.paid)], ["state", "State", standing],
];

function standing(one) {
  if (one.departedAt) return "departed, with its stake in what was paid out";
  if (shown.slashed.includes(one.seat)) return "lost its stake";
  if (one.leaveAt) return "leaving";
  return shown.enrolled.includes(one.seat) ? "enrolled for the next epoch" : one.epoch === shown.epoch ? "in this epoch" : "not enrolled";
}

function owners() {
  if (!shown.owners.length) return el("p", { class: "faint" }, "Nobody has joined yet.");
  const key = COLUMNS.find(([name]) => name === sort.by)[2];
  const rows = [...shown.owners].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (sort.down ? -1 : 1));
  const right = name => !["address", "state"].includes(name) ? "n" : null;
  const head = COLUMNS.map(([name, title]) => el("th", { scope: "col", class: right(name), "aria-sort": sort.by === name ? (sort.down ? "descending" : "ascending") : null },
    el("button", { type: "button", id: `by-${name}`, onclick: () => { sort = { by: name, down: sort.by === name && !sort.down }; draw(); } }, title)));
  const body = rows.map(one => el("tr", { class: one.address === shown.own ? "own" : null }, ...COLUMNS.map(([name, , value]) => {
    const cell = name === "earned" || name === "paid" ? about(value(one)) : name === "address" ? short(one.address) : String(value(one));
    return name === "address" ? el("th", { scope: "row" }, cell, one.address === shown.own ? " you" : "") : el("td", { class: right(name) }, cell);
  })));
  return el("div", { class: "scroll card", role: "region", tabindex: "0", "aria-label": "Data owners" },
    el("table", {}, el("caption", {}, "Data owners, their rounds and their pay"), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body)));
}

function markets() {
  if (!shown.markets.length) return [el("h1", {}, "There are no markets yet"), el("p", {}, "Make one with ", el("code", {}, "omnilytics market create"), ".")];
  const rows = shown.markets.map(one => el("tr", {}, el("th", { scope: "row" }, el("a", { href: `/market/${one.market}`, "aria-label": one.market }, short(one.market))), el("td", { class: "words" }, one.sentence),
    el("td", { class: "n" }, `${one.owners} of ${one.mostOwners}`), el("td", { class: "n" }, amount(one.reward, one.currency)), el("td", { class: "n" }, about(one.escrow, one.currency))));
  const head = [["Market"], ["Stage"], ["Data owners", "n"], ["Reward", "n"], ["Escrow", "n"]].map(([title, kind]) => el("th", { scope: "col", class: kind || null }, title));
  return [el("h1", {}, plural(shown.markets.length, "market") + ` on chain ${shown.chain}`), el("p", { class: "faint mono" }, `factory ${shown.factory}`),
    el("div", { class: "scroll card", role: "region", tabindex: "0", "aria-label": "Markets" }, el("table", {}, el("caption", {}, "Markets, newest first"), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)))];
}

function draw() {
  const focus = document.activeElement && document.activeElement.id;
  document.getElementById("main").replaceChildren(...(shown.markets ? markets() : market()).filter(part => part !== null));
  if (focus && document.getElementById(focus)) document.getElementById(focus).focus({ preventScroll: true });
  tick();
}

function tell(text, on) {
  const status = document.getElementById("live");
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle("on", on);
}

async function follow() {
  try {
    const answer = await fetch(`${location.pathname.replace(/\/$/, "") || "/markets"}.json`, { headers: shown.etag ? { "If-None-Match": shown.etag } : {} });
    if (answer.status === 200) {
      shown = { ...(await answer.json()), live: true, etag: answer.headers.get("ETag") };
      if (shown.now) ahead = shown.now * 1000 - Date.now();
      draw();
    } else if (answer.status !== 304) throw new Error(await answer.text());
    tell("Live", true);
  } catch (error) {
    tell(error instanceof TypeError ? "The server does not answer" : error.message, false);
  }
  setTimeout(follow, PERIOD_MS);
}

draw();
if (shown.live) { tell("Live", true); setTimeout(follow, PERIOD_MS); setInterval(tick, 1000); } else if (shown.saved) tell(`As of block ${shown.block.toLocaleString("en")}`, false);
