-- a;

x;

z
