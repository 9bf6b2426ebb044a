A;
  B;
