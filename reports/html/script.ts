/**
 * The only script of the report: a cursor that moves in all charts of a trace at once, and a line that reads out what the chart under the pointer says there.
 * The page is complete without it. It asks nobody for anything.
 */
import { memoryColumns } from './memory-table.js';
import type { ReportModel } from './model.js';

/** Runs in the browser; kept as text because it is not part of this program. `d` is the data below. */
const CURSOR = `(()=>{
const d=JSON.parse(document.getElementById('fw').textContent);
let out=null,on=[];
const fmt=n=>Math.round(n).toString().replace(/\\B(?=(\\d{3})+$)/g,'\\u202f');
const mem=(f,p)=>{let b=f*p,u=['B','KiB','MiB','GiB','TiB'],i=0;while(b>=1024&&i<4){b/=1024;i++}return (b>=100||i===0?Math.round(b):b.toFixed(1))+'\\u202f'+u[i]};
const clear=()=>{for(const l of on)l.remove();on=[];if(out){out.remove();out=null}};
const box=s=>s.dataset.x.split(',').map(Number);
const show=(svg,event)=>{
 const [l,r]=box(svg),v=svg.viewBox.baseVal,q=svg.getBoundingClientRect(),e=+svg.dataset.e;
 const x=(event.clientX-q.left)/q.width*v.width,part=Math.min(1,Math.max(0,(x-l)/(r-l))),at=part*e;
 clear();
 for(const s of document.querySelectorAll('.ch[data-t="'+svg.dataset.t+'"]')){
  const [a,b,c,h]=box(s),line=document.createElementNS(s.namespaceURI,'line'),px=a+part*(b-a);
  line.setAttribute('class','cur');for(const [k,w] of [['x1',px],['x2',px],['y1',c],['y2',h]])line.setAttribute(k,w);
  s.append(line);on.push(line);
 }
 const t=d.t[svg.dataset.t],s=t.s[svg.dataset.c],ev=d.a[s.e];if(!ev.length)return;
 let i=ev.findIndex(n=>n>=at);if(i<0)i=ev.length-1;
 out=document.createElement('div');out.id='ro';out.setAttribute('aria-hidden','true');
 out.textContent=t.n+' · '+s.n+' · event '+fmt(ev[i])+' · '+t.k.map((n,k)=>n+' '+mem(d.a[s.v[k]][i],t.p)).join(' · ');
 document.body.append(out);
};
document.addEventListener('pointermove',event=>{const svg=event.target.closest?event.target.closest('.ch[data-t]'):null;if(svg)show(svg,event);else clear()});
document.addEventListener('pointerleave',clear);document.addEventListener('scroll',clear,{passive:true});
})()`;

/** Values for the read-out, per trace and strategy. Strategies share most of them: each list of numbers is there once and named by its place. */
function data(model: ReportModel): unknown {
  const places = new Map<string, number>();
  const lists: (readonly number[])[] = [];
  const place = (list: readonly number[]): number => {
    const text = list.join();
    const known = places.get(text);
    if (known !== undefined) return known;
    places.set(text, lists.length);
    return lists.push(list) - 1;
  };
  const traces = model.traces.map((trace) => ({
    n: trace.name,
    p: trace.pageSize,
    k: memoryColumns(trace).map(([name]) => name),
    s: trace.strategies.map(({ label, series }) => ({
      n: label,
      e: place(series.event),
      v: memoryColumns(trace).map(([, read]) => place(series.event.map((_, row) => read(series, row)))),
    })),
  }));
  return { a: lists, t: traces };
}

/** Two script elements: the data and what reads it. "<" never appears in the data as itself, so no text can end the element. */
export function scripts(model: ReportModel): string {
  const json = JSON.stringify(data(model)).replaceAll('<', '\\u003c');
  return `<script type="application/json" id="fw">${json}</script><script>${CURSOR}</script>`;
}
