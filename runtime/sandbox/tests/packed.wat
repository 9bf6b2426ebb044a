
  ;; Finds each value, as a literal that it cuts out of the text of the batch; in `redaction` it knows nothing.
  (func (export "keboola:mirror/packed-redaction@0.1.0#redact")
    (param i32 i32 i32 i32 i32 i32)
    (param $documents i32) (param $count i32) (param i32 i32)
    (param $text i32) (param $bytes i32) (param $ends i32) (param i32)
    (result i32)
    (local $document i32) (local $leaf i32) (local $left i32)
    (local $lists i32) (local $list i32) (local $from i32) (local $to i32)
    (local.set $lists (call $alloc (i32.const 4) (i32.mul (local.get $count) (i32.const 8))))
    (block $judged
      (loop $each
        (br_if $judged (i32.eq (local.get $document) (local.get $count)))
        (local.set $left
          (i32.load offset=28 (i32.add (local.get $documents) (i32.mul (local.get $document) (i32.const 32)))))
        (local.set $list (call $alloc (i32.const 4) (i32.mul (local.get $left) (i32.const 20))))
        (i32.store
          (i32.add (local.get $lists) (i32.mul (local.get $document) (i32.const 8)))
          (local.get $list))
        (i32.store offset=4
          (i32.add (local.get $lists) (i32.mul (local.get $document) (i32.const 8)))
          (local.get $left))
        (local.set $leaf (i32.const 0))
        (block $found
          (loop $next
            (br_if $found (i32.eq (local.get $leaf) (local.get $left)))
            (local.set $from (i32.load (local.get $ends)))
            (local.set $to (i32.load offset=4 (local.get $ends)))
            (local.set $ends (i32.add (local.get $ends) (i32.const 8)))
            ;; leaf, literal, rule
            (i32.store (local.get $list) (local.get $leaf))
            (i32.store8 offset=4 (local.get $list) (i32.const 1))
            (i32.store offset=8 (local.get $list) (i32.add (local.get $text) (local.get $from)))
            (i32.store offset=12 (local.get $list) (i32.sub (local.get $to) (local.get $from)))
            (i32.store offset=16 (local.get $list) (i32.const 0))
            (local.set $list (i32.add (local.get $list) (i32.const 20)))
            (local.set $leaf (i32.add (local.get $leaf) (i32.const 1)))
            (br $next)))
        (local.set $document (i32.add (local.get $document) (i32.const 1)))
        (br $each)))
    (if (i32.ne (local.get $to) (local.get $bytes)) (then unreachable))
    (local.set $list (call $alloc (i32.const 4) (i32.const 20)))
    (i32.store8 (local.get $list) (i32.const 0))
    (i32.store offset=4 (local.get $list) (local.get $lists))
    (i32.store offset=8 (local.get $list) (local.get $count))
    (local.get $list))
