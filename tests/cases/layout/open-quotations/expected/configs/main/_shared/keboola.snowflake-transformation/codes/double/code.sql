A;

open
