{{two}}
