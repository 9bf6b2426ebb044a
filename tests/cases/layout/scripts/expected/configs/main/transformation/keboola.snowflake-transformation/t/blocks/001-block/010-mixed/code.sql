A



7

true
