B;
