-- why

A;
