A

B;

C;
