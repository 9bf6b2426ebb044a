-- why
A;
