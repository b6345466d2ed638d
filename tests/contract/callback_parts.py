"""One of each public callback, made afresh on each call for a folder of its own."""

MAKE = {}
