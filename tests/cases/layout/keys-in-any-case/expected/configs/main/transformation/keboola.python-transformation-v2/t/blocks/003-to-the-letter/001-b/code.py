long s
