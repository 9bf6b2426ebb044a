

A
