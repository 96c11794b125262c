"""The tc_micro_* family for Prometheus: what there is (`catalogue`), read at every scrape (`collector`), and served."""
