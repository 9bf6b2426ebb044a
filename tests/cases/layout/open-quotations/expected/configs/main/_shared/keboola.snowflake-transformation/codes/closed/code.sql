SELECT 'a;b', "c\";";

D
