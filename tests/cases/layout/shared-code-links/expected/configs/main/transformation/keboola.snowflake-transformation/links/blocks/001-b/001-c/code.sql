-- {{:codes/my-code}}

-- {{:codes/second}}

{{ two }}

x {{two}}

{{gone}}
