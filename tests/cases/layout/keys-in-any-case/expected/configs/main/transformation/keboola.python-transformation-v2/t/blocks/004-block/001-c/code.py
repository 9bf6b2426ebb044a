of
5
