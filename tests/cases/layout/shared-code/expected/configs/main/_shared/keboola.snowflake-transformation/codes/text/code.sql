A;

B;

C;
