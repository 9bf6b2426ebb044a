



A
