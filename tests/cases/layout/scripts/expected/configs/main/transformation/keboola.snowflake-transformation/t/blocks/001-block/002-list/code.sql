A;

B;
