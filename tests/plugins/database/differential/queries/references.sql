delete from par;
delete from par using par o where o.id = par.id;
update par set id = 9;
insert into chi values (5);
