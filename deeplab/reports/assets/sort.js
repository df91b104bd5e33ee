// Sorts a table by a column: by value where all are numbers, empty cells last. #results=ours-descending in the address does it too.
function sort(table, column, direction) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const index = heads.findIndex(head => head.textContent === column);
  if (index < 0) return;
  const value = row => row.cells[index].dataset.value;
  const numeric = [...body.rows].every(row => !isNaN(value(row)));
  const sign = direction === 'descending' ? -1 : 1;
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === '' || y === '') return (x === '') - (y === '');
    return sign * (numeric ? x - y : (x > y) - (x < y));
  };
  [...body.rows].sort(compare).forEach(row => body.append(row));
  heads.forEach((head, i) => i === index ? head.setAttribute('aria-sort', direction) : head.removeAttribute('aria-sort'));
}

for (const table of document.querySelectorAll('table.sortable')) {
  table.tHead.addEventListener('click', event => {
    const head = event.target.closest('th');
    if (head) sort(table, head.textContent, head.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending');
  });
}

function follow() {
  const target = decodeURIComponent(location.hash.slice(1));
  const order = target.match(/^(results|open)=(.+)-(ascending|descending)$/);
  if (order) sort(document.getElementById(order[1]), order[2], order[3]);
  const details = document.getElementById(target);
  if (details instanceof HTMLDetailsElement) details.open = true;
}
addEventListener('hashchange', follow);
follow();
