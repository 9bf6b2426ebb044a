C;
