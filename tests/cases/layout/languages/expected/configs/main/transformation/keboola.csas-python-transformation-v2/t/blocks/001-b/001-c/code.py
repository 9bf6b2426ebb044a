one;
two;
