SELECT 'open; B;
