# {{:codes/read}}
