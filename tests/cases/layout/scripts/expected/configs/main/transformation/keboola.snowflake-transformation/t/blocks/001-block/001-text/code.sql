A;
B;
