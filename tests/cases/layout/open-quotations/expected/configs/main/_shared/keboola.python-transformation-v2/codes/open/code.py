print('open; B;
C
