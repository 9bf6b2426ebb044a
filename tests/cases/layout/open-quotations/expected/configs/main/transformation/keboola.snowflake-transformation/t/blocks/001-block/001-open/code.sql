SELECT 'open;

B;
