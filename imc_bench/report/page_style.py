"""The style of a report's page: light and dark, wide and narrow, nothing from outside it."""

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --faint: #5c5c5c; --paper: #ffffff;
  --line: #d5d5d5; --card: #f5f6f7; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --faint: #a8a8a8; --paper: #16181a;
  --line: #3a3d40; --card: #202326; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 80rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .8rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; }
section + section { border-top: 3px solid var(--line); margin-top: 3rem; padding-top: 1rem; }
p.verdict { font-size: 1.1rem; max-width: 60rem; border-left: 4px solid var(--accent);
  padding-left: .9rem; margin: 0 0 1rem; }
p.warn { border-left: 4px solid #d55e00; padding-left: .9rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 12.5px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .4rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { border-bottom: 2px solid var(--faint); vertical-align: bottom; white-space: normal; }
td small { color: var(--faint); font-size: 11px; }
ul { max-width: 60rem; padding-left: 1.2rem; } li { margin: .2rem 0; }
th.left, td.left { text-align: left; }
figure { margin: .5rem 0 1rem; }
figure img { display: block; background: #fff; border-radius: 4px; max-width: max(100%, 46rem);
  height: auto; }
figcaption { max-width: 60rem; margin: .4rem 0; }
.faint, p.note { color: var(--faint); font-size: 13px; max-width: 60rem; margin: .4rem 0; }
dl.words { font-size: 13px; max-width: 60rem; margin: .5rem 0; color: var(--faint); }
dl.words dt { display: inline; font-weight: 600; color: var(--ink); }
dl.words dt::after { content: ": "; }
dl.words dd { display: inline; margin: 0; }
dl.words div { margin: .15rem 0; }
dl.facts dt { color: var(--faint); font-size: 13px; margin-top: .5rem; }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: 4px; padding: .4rem .8rem;
  margin: .6rem 0; }
summary { cursor: pointer; }
pre { background: var(--card); padding: .6rem .8rem; border-radius: 4px; overflow-x: auto;
  font-size: 13px; margin: .3rem 0; }
"""
