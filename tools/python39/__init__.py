"""Tests of what runs on hosts, with the oldest Python it has to run on: Debian 11's, in a tree of its own."""
