A; B;
