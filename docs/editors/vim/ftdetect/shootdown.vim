au BufRead,BufNewFile *.sd setfiletype shootdown
