SELECT 'open;

B
