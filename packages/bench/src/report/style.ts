/** Colors by kind of format: Okabe and Ito (2008), told apart with any color vision, lighter on dark ground. */
export const KIND_COLORS = {
  dense: 'var(--dense)',
  int8: 'var(--int8)',
  fp8: 'var(--fp8)',
  mxfp8: 'var(--mxfp8)',
  int4: 'var(--int4)',
  nf4: 'var(--nf4)',
  nvfp4: 'var(--nvfp4)',
  mxfp4: 'var(--mxfp4)',
} as const;

/** The colors of the page by day, by the names of their custom properties. */
export const LIGHT_COLORS: Readonly<Record<string, string>> = {
  ...{ ground: '#ffffff', text: '#1f2328', muted: '#656d76', line: '#d8dee4', stripe: '#f6f8fa' },
  ...{ good: '#1a7f37', bad: '#cf222e' },
  ...{ dense: '#57606a', int8: '#0072b2', fp8: '#009e73', mxfp8: '#3f9fd6', int4: '#d55e00', nf4: '#a0522d' },
  ...{ nvfp4: '#b03a86', mxfp4: '#c58a00' },
};

const DARK_COLORS: Readonly<Record<string, string>> = {
  ...{ ground: '#0d1117', text: '#e6edf3', muted: '#8d96a0', line: '#30363d', stripe: '#161b22' },
  ...{ good: '#3fb950', bad: '#f85149' },
  ...{ dense: '#b1bac4', int8: '#58a6ff', fp8: '#2fc99a', mxfp8: '#8fd0f5', int4: '#ff8c42', nf4: '#d29b74' },
  ...{ nvfp4: '#e68fc6', mxfp4: '#e8b93c' },
};

const properties = (colors: Readonly<Record<string, string>>) =>
  Object.entries(colors)
    .map(([name, color]) => `--${name}: ${color};`)
    .join(' ');

export const STYLE = `
:root { color-scheme: light dark; ${properties(LIGHT_COLORS)} }
@media (prefers-color-scheme: dark) {
  :root { ${properties(DARK_COLORS)} }
}
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 4rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { max-width: 46rem; }
.muted, figcaption, .note { color: var(--muted); font-size: .875rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .875rem; margin: 1rem 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
.panels svg, .legend svg { --plot-background: var(--ground); max-width: 100%; height: auto; }
.panels, .legend { display: flex; flex-wrap: wrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { text-align: left; border-bottom: 1px solid var(--line); font-weight: 600; }
th, td { padding: .2rem .65rem; }
tbody tr:nth-child(even) { background: var(--stripe); }
.right { text-align: right; }
.good { color: var(--good); }
.bad { color: var(--bad); }
td.muted { font-size: inherit; }
pre { background: var(--stripe); border: 1px solid var(--line); border-radius: 6px; padding: .75rem 1rem; overflow-x: auto;
  font: .8125rem/1.45 ui-monospace, monospace; }
pre b { font-weight: 600; }
`;
