one;

two;
