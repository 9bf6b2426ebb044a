-- {{:codes/second}}

-- {{:codes/my-code}}
