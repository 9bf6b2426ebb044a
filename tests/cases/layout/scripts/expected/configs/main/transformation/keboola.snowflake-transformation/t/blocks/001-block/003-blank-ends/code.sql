A;

  B;
