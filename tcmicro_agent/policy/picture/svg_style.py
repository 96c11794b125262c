"""Colours of drawings, for light and dark screens."""

from __future__ import annotations

STYLE = """
  svg { font: 13px system-ui, sans-serif; background: #ffffff; }
  text { fill: #1c2733; } .small { font-size: 11.5px; } .dim { fill: #667788; }
  .label rect { fill: #ffffff; fill-opacity: 0.88; }
  .node rect { fill: #f4f7fa; stroke: #90a4b5; stroke-width: 1.5; }
  .protect rect { fill: #e9f6ee; stroke: #2e8b57; } .monitor rect { fill: #fff6e0; stroke: #c98a10; }
  .mixed rect { fill: #fdeee6; stroke: #c8622b; } .outside rect { fill: #eaf1fb; stroke: #4a78b8; }
  .edge path { fill: none; stroke: #70869a; stroke-width: 1.5; } .some path { stroke-dasharray: 5 4; }
  .edge:hover path { stroke: #d0482f; stroke-width: 2.5; } #head path { fill: #70869a; }
  @media (prefers-color-scheme: dark) {
    svg { background: #151b22; } text { fill: #dce5ee; } .dim { fill: #8fa2b5; }
    .label rect { fill: #151b22; }
    .node rect { fill: #202a35; stroke: #61788d; } .edge path { stroke: #7f96ab; } #head path { fill: #7f96ab; }
    .protect rect { fill: #173225; stroke: #4cb782; } .monitor rect { fill: #38300f; stroke: #d9a83a; }
    .mixed rect { fill: #3a2417; stroke: #dd7f4b; } .outside rect { fill: #1a2a40; stroke: #6c9bdc; }
  }
"""
HEAD = (
    '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path d="M0 1 10 5 0 9z"/></marker></defs>'
)
