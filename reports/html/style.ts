/**
 * The report's style sheet: one palette for light and one for dark, made for colour-blind readers (Okabe and Ito's hues: kinds of memory differ by hue,
 * lightness and a mark). Hues belong to kinds of memory; strategies are ink, told apart by marker and dash. Printing is always light.
 */
const LIGHT =
  '--bg:#fbfaf6;--ink:#1b1d20;--ink2:#4c5057;--ink3:#666a72;--rule:#dcd8ce;--grid:#e7e3d9;--wash:#f2efe7;--anon:#0072b2;--file:#56b4e9;--shm:#009e73;--pt:#d55e00;--kh:#cc79a7;--brk:#a8a294;--mov:#e69f00;--age:#bfa77c;--agp:#7d6539;--on-mov:#4a3300;--mes:#b3aea1;--on-file:#0b4a73;--on:#fff;--good:#005b8f;--bad:#a33c00;--bar:#8f8a7e;--u0:#efece3;--u1:#f6ddb0;--u2:#eab765;--u3:#cf8529;--u4:#9a5710;--u5:#532b05';
const DARK =
  '--bg:#131518;--ink:#ece9e2;--ink2:#bcbfc4;--ink3:#9a9ea6;--rule:#353a41;--grid:#262a30;--wash:#1b1e22;--anon:#3d95d0;--file:#8ccdf3;--shm:#2bb98f;--pt:#f07f35;--kh:#dd9cc0;--brk:#6c717a;--mov:#f0b429;--age:#7a6745;--agp:#b99f6b;--on-mov:#2b1e00;--mes:#596069;--on-file:#0d4468;--on:#101215;--good:#7cc4f5;--bad:#f6a06a;--bar:#747a83;--u0:#1f2226;--u1:#43310f;--u2:#77521a;--u3:#ad7824;--u4:#dda645;--u5:#fce0a4';

const PAGE = `
:root{color-scheme:light dark;${LIGHT}}
@media screen and (prefers-color-scheme:dark){:root{${DARK}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:64px}
body{margin:0 auto;max-width:1320px;padding:32px clamp(14px,3vw,40px) 64px;background:var(--bg);color:var(--ink);font:15px/22px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums lining-nums;overflow-wrap:break-word}
h1,h2,h3,h4,p,dl,dd,ol,ul,figure,fieldset,legend{margin:0;padding:0;border:0}
h1{font-size:30px;line-height:36px;font-weight:650;letter-spacing:-.015em;text-wrap:balance}
h2{font-size:20px;line-height:26px;font-weight:650;letter-spacing:-.005em}
h3{font-size:15px;line-height:20px;font-weight:650}
h4{font-size:13px;line-height:18px;font-weight:650;margin-bottom:4px}
section{margin-top:56px}
a{color:var(--good)}
code,pre{font:12.5px/19px ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{margin:0;padding:12px 14px;background:var(--wash);border-left:3px solid var(--ink);overflow-x:auto}
:focus-visible{outline:2px solid var(--good);outline-offset:2px;border-radius:2px}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-9999px}.skip:focus{left:8px;top:8px;background:var(--bg);padding:4px 8px;z-index:3}
.brand{font-weight:650;font-size:13px;letter-spacing:.02em;margin-bottom:8px}.brand span,.sub{color:var(--ink3);font-weight:400}
.sub{font-size:12px}.meta{color:var(--ink2);margin-top:8px;font-size:13px;line-height:20px}
.nw{white-space:nowrap}.dim{color:var(--ink3)}
nav ol{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin-top:16px;padding:8px 0;border-top:1px solid var(--rule);border-bottom:1px solid var(--rule);font-size:13px}
nav a{color:var(--ink2);text-decoration:none;display:block;padding:2px 0}nav a span{color:var(--ink3);font-size:11px}nav a:hover{color:var(--ink);text-decoration:underline}
.no{color:var(--ink3);font-weight:400;margin-right:10px}
.lead{color:var(--ink2);max-width:84ch;margin:4px 0 20px;text-wrap:pretty}
.trh{display:flex;flex-wrap:wrap;gap:0 10px;align-items:baseline;margin-bottom:12px;padding-top:8px}
.tr+.tr{margin-top:32px}
.cap{font-size:12.5px;line-height:18px;color:var(--ink2);margin-top:8px;max-width:84ch;text-wrap:pretty}
.pick{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--rule);margin-top:-1px}
.pick fieldset{min-width:0;display:flex;gap:0 4px;overflow-x:auto;padding:6px 0;align-items:center}
.pick legend{float:left;font-size:12.5px;color:var(--ink3);margin-right:10px;padding:0}
.pick label{flex:none;position:relative;cursor:pointer;font-size:13px;line-height:18px}
.pick input{position:absolute;opacity:0;inset:0;margin:0;cursor:pointer;width:100%;height:100%}
.pick span{display:block;padding:4px 10px;border-radius:4px;color:var(--ink2);border:1px solid transparent}
.pick label:hover span{background:var(--wash)}
.pick input:checked+span{color:var(--bg);background:var(--ink);font-weight:650}
.pick input:focus-visible+span{outline:2px solid var(--good);outline-offset:-1px}
`;

const ANSWER = `
.ans{margin-top:8px;font-size:18px;line-height:27px;max-width:66ch;text-wrap:pretty}
.head{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,218px),1fr));gap:24px 28px;margin-top:28px;border-top:2px solid var(--ink);padding-top:14px}
.head dt{font-size:12.5px;line-height:16px;color:var(--ink2)}.head dd{font-size:12.5px;color:var(--ink2);line-height:18px}
.head b{font-size:32px;line-height:40px;font-weight:600;letter-spacing:-.02em;color:var(--ink)}
.bars{display:grid;grid-template-columns:auto minmax(28px,1fr) auto;gap:2px 8px;align-items:center;margin-top:4px;font-size:12.5px;line-height:18px}
.bars .b{color:var(--ink);font-weight:650}.bars .num{text-align:right;white-space:nowrap}.bars .name{white-space:nowrap}
.bar{display:block;height:5px;background:var(--grid);border-radius:1px;overflow:hidden}.bar i{display:block;height:100%;background:var(--bar)}.bar.b i{background:var(--good)}
.bar.in{display:inline-block;width:44px;vertical-align:middle;margin-left:6px}
.mk{vertical-align:-1px;overflow:visible;fill:var(--ink);stroke:var(--ink);stroke-width:0}.mk.o{fill:var(--bg);stroke-width:1.4}
`;

const TABLES = `
table{border-collapse:collapse;font-size:13px;line-height:18px;width:100%}
th{font-weight:400;text-align:left}thead th{font-weight:650;font-size:12.5px;vertical-align:bottom}
.scroll{overflow-x:auto;margin:16px 0 20px;background:linear-gradient(90deg,var(--bg) 30%,transparent) 0 0/40px 100% no-repeat local,linear-gradient(270deg,var(--bg) 30%,transparent) 100% 0/40px 100% no-repeat local,linear-gradient(90deg,var(--rule),transparent) 0 0/14px 100% no-repeat scroll,linear-gradient(270deg,var(--rule),transparent) 100% 0/14px 100% no-repeat scroll}
.data th,.data td{padding:5px 16px 5px 0;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
.data thead th{border-bottom:1px solid var(--ink)}.data th:last-child,.data td:last-child{padding-right:2px}
.data thead .grp{text-align:center;border-bottom:1px solid var(--rule);color:var(--ink3);font-weight:400}.data thead tr.over th{border-bottom:0}.data thead tr.over .grp{border-bottom:1px solid var(--rule)}
.data th:first-child,.data .t{text-align:left}.data .sum th,.data .sum td{font-weight:650;border-bottom:1px solid var(--ink)}
.data small,.data .unit{color:var(--ink3);font-size:12px;font-weight:400}.data .wrap{white-space:normal;min-width:190px}
.data td.b{color:var(--good);font-weight:700}.data td.w{color:var(--bad)}.data td.bad{color:var(--bad);font-weight:650}
.data .tag{font-size:11px;margin-left:6px;font-weight:400;color:inherit}td.b .tag{font-weight:650}
.data code{font-size:12px}.data.top th,.data.top td{vertical-align:top}.data.top thead th{vertical-align:bottom}.data td p+p{margin-top:2px}
.matrix thead th{border-bottom:1px solid var(--ink);padding:4px 0 4px 14px}.matrix thead th:first-child{padding-left:0;color:var(--ink3);font-weight:400}
.matrix td,.matrix tbody th{border-bottom:1px solid var(--rule);padding:5px 0 6px}.matrix td{padding-left:14px;vertical-align:top}.matrix .bar{margin-top:3px}
.mn{display:block}.mu{display:block;font-size:12px;line-height:16px;color:var(--ink3)}.arrow{color:var(--ink);margin-right:4px;font-weight:650}
.matrix .num{display:inline-block}.matrix .tag{float:right;font-size:11px;line-height:18px;color:var(--ink3)}.matrix small{display:block;color:var(--ink3);font-size:11px;line-height:14px;margin-top:2px}
.matrix td.b .num{font-weight:700;color:var(--good)}.matrix td.b .tag{color:var(--good);font-weight:650}.matrix td.w .tag{color:var(--bad)}
details{margin-top:12px;font-size:13px}summary{cursor:pointer;color:var(--ink2);padding:4px 0;width:fit-content}summary:hover{color:var(--ink)}
.why{list-style:none;font-size:12.5px;line-height:18px;color:var(--ink2);margin-top:8px;max-width:84ch}
.cfg{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 48px;margin-top:16px;font-size:13px;line-height:19px}
.cfg div{display:grid;grid-template-columns:120px minmax(0,1fr);gap:12px;padding:6px 0;border-bottom:1px solid var(--rule)}.cfg dt{color:var(--ink3)}.cfg dd{overflow-wrap:anywhere}
footer{margin-top:56px;padding-top:12px;border-top:1px solid var(--rule);font-size:12.5px;color:var(--ink3)}
`;

const CHARTS = `
.grid3,.grid4{display:grid;gap:20px 32px}.grid3{grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}.grid4{grid-template-columns:repeat(auto-fill,minmax(min(100%,262px),1fr))}
.grid3+.grid3,.cap+.grid3,.grid3+.grid4,.cap+.grid4{margin-top:24px}
.sample{vertical-align:0;overflow:visible}.sm{min-width:0}.ch{display:block;width:100%;max-width:640px;height:auto;overflow:visible}
.ch text{font-size:11px;fill:var(--ink2)}.ch .tk,.ch .al{fill:var(--ink3);font-size:10.5px}.ch .strong{font-weight:700;fill:var(--ink)}.ch .lb{fill:var(--ink)}
.ch .halo{paint-order:stroke;stroke:var(--bg);stroke-width:3.5px;stroke-linejoin:round}.ch .inl{fill:var(--on);font-weight:600}
.ch .onmov{fill:var(--on-mov);font-weight:600}.ch .onfile{fill:#08283d;font-weight:600;paint-order:stroke;stroke:var(--file);stroke-width:3px}
.ch .grid{stroke:var(--grid);stroke-width:1;fill:none}.ch .axis{stroke:var(--ink3);stroke-width:1;fill:none}.ch .pk{stroke:var(--ink);stroke-width:1;stroke-dasharray:2 2}.ch .wind{fill:var(--wash)}
.k-anon{fill:var(--anon)}.k-file{fill:var(--file)}.k-shm{fill:var(--shm)}.k-pt{fill:var(--pt)}.k-kh{fill:var(--kh)}.k-mov{fill:var(--mov)}.k-age{fill:var(--age)}.k-agp{fill:var(--agp)}.soft{opacity:.22}
.l-mov,.l-pt,.l-kh,.l-shm,.l-file,.l-anon{fill:none;stroke-width:1.5}.l-pt{stroke:var(--pt)}.l-kh{stroke:var(--kh)}.l-mov{stroke:var(--mov)}.l-shm{stroke:var(--shm)}.l-file{stroke:var(--file)}.l-anon{stroke:var(--anon)}
.brk{fill:var(--bg)}.broken{fill:url(#p-broken)}.filed{fill:url(#p-file)}.edge{fill:none;stroke:var(--ink3);stroke-width:.8}
.ph{stroke:var(--on-file);stroke-width:1.6;opacity:.55}.pf{stroke:var(--brk);stroke-width:2.4}
.gl{fill:none;stroke:var(--on);stroke-width:.13}.hole{fill:var(--rule)}.cells{stroke:var(--bg);stroke-width:.1;fill:none}.frame{fill:none;stroke:var(--rule);stroke-width:1}
.f0{fill-opacity:.28}.f1{fill-opacity:.5}.f2{fill-opacity:.75}
.u0{fill:var(--u0)}.u1{fill:var(--u1)}.u2{fill:var(--u2)}.u3{fill:var(--u3)}.u4{fill:var(--u4)}.u5{fill:var(--u5)}.o9{fill:none;stroke:var(--ink);stroke-width:1.2}.gap{stroke:var(--bg);stroke-width:1;fill:none}
.ln{fill:none;stroke:var(--ink);stroke-width:1.4;stroke-linejoin:round}.thin{stroke-width:1.1}.rng{stroke:var(--ink3);stroke-width:1}
.dot{fill:var(--ink);stroke:var(--ink);stroke-width:1.3}.dot.o{fill:var(--bg)}
.mes{stroke:var(--mes);stroke-width:5;stroke-linecap:round;stroke-linejoin:round;fill:none}.res{stroke:var(--bad);stroke-width:1;fill:var(--bad);fill-opacity:.35}.zero{stroke:var(--ink);stroke-width:1.6}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;font-size:12.5px;line-height:18px;color:var(--ink2);margin-bottom:16px}.legend svg{vertical-align:-1px;margin-right:6px}
.cur{stroke:var(--ink);stroke-width:1;opacity:.75;pointer-events:none}
#ro{position:fixed;left:50%;bottom:12px;transform:translateX(-50%);background:var(--ink);color:var(--bg);font-size:12.5px;line-height:18px;padding:5px 12px;border-radius:4px;max-width:94vw;pointer-events:none;width:max-content;z-index:4}
`;

const NARROW = `
@media (max-width:600px){body{padding-top:20px}h1{font-size:25px;line-height:30px}.ans{margin-top:8px;font-size:16.5px;line-height:25px}section{margin-top:44px}.head{gap:18px}
pre{white-space:pre-wrap;overflow-wrap:anywhere}.cfg div{grid-template-columns:96px minmax(0,1fr)}
.matrix,.matrix tbody,.matrix thead{display:block}.matrix tr{display:grid;grid-template-columns:repeat(var(--n),minmax(0,1fr));gap:2px 14px;padding:7px 0;border-bottom:1px solid var(--rule)}
.matrix thead tr{border-color:var(--ink)}.matrix thead th:first-child{display:none}.matrix tbody th{grid-column:1/-1;display:flex;justify-content:space-between;gap:8px}
.matrix td,.matrix th,.matrix tbody th,.matrix thead th{border:0;padding:0;width:auto}.mu{line-height:18px;white-space:nowrap}}
@media (max-width:360px){.matrix .tag{font-size:10px}.matrix tr{column-gap:8px}.matrix .num{font-size:12.5px}}
`;

const PRINT = `
@media print{*{print-color-adjust:exact;-webkit-print-color-adjust:exact}:root{--bg:#fff;color-scheme:light}body{max-width:none;padding:0;font-size:11px;line-height:15px}nav,.skip,.pick,#ro,.cur{display:none}
section{margin-top:24px}.sm,tr,.head div{break-inside:avoid}h2,h3,h4{break-after:avoid}.ans{margin-top:8px;font-size:14px;line-height:20px}.head{grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}.head b{font-size:22px;line-height:28px}
.grid3{grid-template-columns:repeat(3,1fr);gap:12px}.grid4{grid-template-columns:repeat(4,1fr);gap:10px}.scroll{overflow:visible;background:none}
details::details-content{content-visibility:visible;block-size:auto}}
`;

/** The style sheet; `traces` is the number of traces that can be picked one at a time (on screen; paper shows all). */
export function styleSheet(traces: number): string {
  const picked = Array.from({ length: traces }, (_, i) => `body:has(#pick-${i}:checked) .tr:not(.tr-${i})`);
  const pick = traces > 1 ? `@media screen{${picked.join(',')}{display:none}}` : '';
  return (PAGE + ANSWER + TABLES + CHARTS + NARROW + PRINT + pick).replace(/\n+/g, '\n').trim();
}
