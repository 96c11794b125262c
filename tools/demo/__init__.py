"""`make demo`: the main job of tcmicro on a lab of real hosts, shown and checked step by step."""
