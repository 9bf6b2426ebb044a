A

B;
C;
