A;

open;

B;

C
