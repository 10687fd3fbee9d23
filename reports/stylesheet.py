"""This module holds the page's style sheet: one column, light and dark by the reader's setting, and a form for paper."""

from reports.theme import COLOURS

_LIGHT = "".join(f"--{name}:{light};" for name, (light, _) in COLOURS.items())
_DARK = "".join(f"--{name}:{dark};" for name, (_, dark) in COLOURS.items())

STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}--panel:#f6f8fa;"
    '--font:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}\n'
    f"@media (prefers-color-scheme:dark){{@media not print{{:root{{{_DARK}--panel:#1b2127}}}}}}\n"
    """
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--ink);font:15px/1.5 var(--font);-webkit-text-size-adjust:100%}
main{max-width:1120px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:17px;margin:40px 0 10px;font-weight:650}
h3{font-size:14px;margin:0 0 4px;font-weight:650}
.subtitle{margin:0;color:var(--muted)}
.status{display:inline-block;margin-left:8px;padding:1px 9px;border-radius:10px;font-size:12.5px;border:1px solid currentColor;
vertical-align:3px;font-weight:500}
.status.completed{color:var(--gain)}.status.failed{color:var(--loss)}.status.cancelled,.status.running,.status.queued{color:var(--muted)}
.banner{margin:20px 0 0;padding:12px 16px;border-left:4px solid var(--loss);background:var(--panel);overflow-wrap:anywhere}
.headlines{display:grid;grid-template-columns:repeat(4,1fr);gap:1px;margin:24px 0 0;background:var(--grid);
border:1px solid var(--grid);border-radius:8px;overflow:hidden}
.headlines div{background:var(--surface);padding:12px 14px}
.headlines dt{color:var(--muted);font-size:12.5px}
.headlines dd{margin:2px 0 0;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap}
.headlines small{font-size:12px;font-weight:400;color:var(--muted)}
@media (max-width:720px){.headlines{grid-template-columns:repeat(2,1fr)}}
figure{margin:0;position:relative}
.scroll{overflow-x:auto}
figure svg{display:block;width:100%;min-width:640px;height:auto}
figcaption{color:var(--muted);font-size:13px;margin:4px 0 0 0}
.groups{columns:3 300px;column-gap:40px}
.group{break-inside:avoid;padding-bottom:20px}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{font-weight:400;text-align:left;color:var(--muted)}
td,th{padding:4px 0;border-bottom:1px solid var(--grid);vertical-align:baseline}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.group td.number{padding-left:12px}
td small{color:var(--muted);font-size:11.5px}
.trades td,.trades th{padding:5px 12px 5px 0;white-space:nowrap}
.trades td.number,.trades th.number{padding:5px 0 5px 16px}
.trades tr.part th{padding-top:14px;color:var(--ink);font-weight:600}
.gain{color:var(--gain)}.loss{color:var(--loss)}.undefined{color:var(--muted)}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0;font-size:13.5px}
dl.facts dt{color:var(--muted)}dl.facts dd{margin:0;overflow-wrap:anywhere}
code,pre{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:var(--panel);padding:14px 16px;border-radius:8px;overflow-x:auto;margin:10px 0 0}
summary{cursor:pointer;color:var(--muted);margin-top:16px;font-size:13.5px}
footer{margin-top:40px;padding-top:12px;border-top:1px solid var(--grid);color:var(--muted);font-size:12.5px}
.readout{position:absolute;pointer-events:none;background:var(--surface);border:1px solid var(--muted);border-radius:6px;
padding:5px 9px;font-size:12.5px;line-height:1.4;white-space:nowrap;font-variant-numeric:tabular-nums;display:none;z-index:1}
.readout b{font-weight:600}.readout span{color:var(--muted);margin-right:6px}
.pointer{stroke:var(--muted);stroke-width:.7;stroke-dasharray:3 2;visibility:hidden}
@media print{body{font-size:11pt}main{padding:0;max-width:none}figure,.group,.headlines{break-inside:avoid}h2{break-after:avoid}
figure svg{min-width:0}.scroll{overflow:visible}.headlines,figure{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.trades{break-inside:avoid;font-size:8.5pt}.trades td,.trades th{padding-right:6px}
.trades td.number,.trades th.number{padding-left:6px}
.readout{display:none}summary{list-style:none}@page{margin:14mm}}
"""
)
