"""The look of a check's page: light and dark, narrow and wide, and on A4."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f3f5f7; --line: #d5dae0; --quiet: #57606a;
  --bad: #b3261e; --bad-paper: #fdecea; --mind: #7a5200; --mind-paper: #fff6dd; --good: #1a6b35; --good-paper: #e7f6ec;
  --this: #1f5fa8; --last: #a9bfd8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #14181d; --soft: #1e242b; --line: #38414b; --quiet: #a3adb8;
    --bad: #ff9d94; --bad-paper: #3a1a18; --mind: #f2cc72; --mind-paper: #332a12; --good: #86dba2;
    --good-paper: #15301f; --this: #6fa8e8; --last: #4a5d73; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .2rem; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
p { margin: .3rem 0; }
b { display: inline-block; min-width: 8.5rem; padding-right: .5rem; font-weight: 600; }
ul { margin: .4rem 0; padding-left: 1.2rem; }
a { color: inherit; text-underline-offset: .15em; }
code { font: .92em ui-monospace, "Liberation Mono", Consolas, monospace; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-size: .88rem; }
.verdict { font-size: 1.15rem; font-weight: 600; padding: .8rem 1rem; border-left: .4rem solid; border-radius: .2rem; }
.verdict.bad { color: var(--bad); background: var(--bad-paper); }
.verdict.mind { color: var(--mind); background: var(--mind-paper); }
.verdict.good { color: var(--good); background: var(--good-paper); }
dl { margin: 1rem 0 0; }
dl div { display: flex; gap: .8rem; }
dt { flex: 0 0 7rem; color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
article { margin: 1rem 0; padding: .8rem 1rem; background: var(--soft); border-left: .25rem solid var(--line);
  border-radius: .2rem; }
article.stop, article.drop { border-left-color: var(--bad); }
article.warn { border-left-color: var(--mind); }
.count { display: inline-block; min-width: 1.6rem; padding: 0 .4rem; margin-right: .3rem; border-radius: .8rem;
  text-align: center; color: var(--paper); background: var(--quiet); }
.stop .count, .drop .count { background: var(--bad); }
.warn .count { background: var(--mind); }
.accept { padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .2rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .6rem 0; }
caption { text-align: left; color: var(--quiet); padding-bottom: .2rem; }
th, td { padding: .25rem .5rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th, thead td { border-top: 0; font-weight: 600; }
tbody th { font-weight: 400; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.places td { overflow-wrap: anywhere; }
.places th:first-child { width: 7rem; }
.places .number { width: 5rem; }
.places th:nth-child(3) { width: 36%; }
.overview caption { font-size: 1rem; font-weight: 600; color: var(--ink); padding-top: 1rem; }
.overview .number { width: 5rem; }
.figures caption { font-size: 1rem; font-weight: 600; color: var(--ink); padding-top: 1rem; }
.figures td.bars { width: 22%; min-width: 5rem; vertical-align: middle; }
.figures.months td.bars { width: 60%; }
.bar { height: .5rem; background: var(--this); border-radius: 0 .15rem .15rem 0; }
.bar.last { background: var(--last); }
.legend .bar { display: inline-block; width: 1.4rem; margin-left: .6rem; }
footer { margin-top: 2.5rem; padding-top: .6rem; border-top: 1px solid var(--line); color: var(--quiet);
  font-size: .88rem; }
@media (max-width: 40rem) {
  .figures { display: block; overflow-x: auto; }
  .places, .places tbody, .places tr { display: block; }
  .places thead { display: none; }
  .places tr { border-top: 1px solid var(--line); padding: .3rem 0; }
  .places caption { display: block; }
  .places td.number::before { content: "line "; }
  .places td.number:empty { display: none; }
  .places th, .places td { display: inline; border: 0; padding: 0 .3rem 0 0; }
  .places td:last-child { display: block; }
  b { display: block; }
}
@media print {
  :root { --ink: #000; --paper: #fff; --soft: #fff; --line: #aaa; --quiet: #444; --bad: #8c1d18; --bad-paper: #fff;
    --mind: #5f4000; --mind-paper: #fff; --good: #14532d; --good-paper: #fff; --this: #1f5fa8; --last: #a9bfd8; }
  @page { size: A4; margin: 16mm 14mm; }
  html { font-size: 9pt; }
  body { max-width: none; padding: 0; }
  tr, p { break-inside: avoid; }
  article p:last-child { break-before: avoid; }
  h2, h2 + p, h3, h3 + p, caption, thead { break-after: avoid; }
  .bar, .count, .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
