"""The release number; `make artifact VERSION=…` writes another one into what it builds."""

VERSION = "0.1.0"
