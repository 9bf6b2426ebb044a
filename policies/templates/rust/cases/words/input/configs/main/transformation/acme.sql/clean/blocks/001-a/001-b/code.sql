-- Falcon: what the customers bought
SELECT * FROM orders;
